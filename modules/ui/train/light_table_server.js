// Last part of the light table: decisions and photos sent to the server; and its start.

function later(what, act) {
  clearTimeout(timers.get(what)?.timer);
  timers.set(what, { act, timer: setTimeout(() => flush(what), PATIENCE) });
}

function flush(what) {
  const waiting = timers.get(what);
  if (!waiting) return;
  clearTimeout(waiting.timer);
  timers.delete(what);
  waiting.act();
}

function listenForText(box, nameOf) {
  box.addEventListener("input", () => {
    const name = nameOf();
    later(box, () => decide({ photo: name, caption: box.value }));
  });
  box.addEventListener("blur", () => flush(box));
}

function say(text, isBad = false) {
  put(message, text);
  message.classList.toggle("bad", isBad);
}

async function ask(path, body, headers) {
  const answer = await fetch(ROUTES + path, { method: "POST", body, headers });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? `The server refused this (${answer.status}).`);
  return said;
}

function decide(edit) {
  const { key } = album;
  for (const what of [...timers.keys()]) if (what !== `crop ${edit.photo}`) flush(what);
  if ("crop" in edit && edit.crop === null) forget(edit.photo);
  queue = queue.then(() => sendAll(key, [...takeKept(key), edit]));
  return queue;
}

async function sendAll(key, edits) {
  for (const [index, edit] of edits.entries()) {
    try {
      const told = await ask(`${key}/edit`, JSON.stringify(edit), { "Content-Type": "application/json" });
      if (edit.crop && unsent.get(edit.photo) === edit.crop) unsent.delete(edit.photo);
      if (key === album.key) show({ ...told, sent: album.sent });
      if (message.classList.contains("bad")) say("");
    } catch (error) {
      const isGone = error instanceof TypeError;
      say(isGone ? GONE : error.message, true);
      if (isGone) return keepEdits(key, edits.slice(index));
    }
  }
}

// Decisions that no server has heard of outlive the reload with which the page begins again when there is one.
const GONE = "The server does not answer: this change waits in this browser until it does.";
const keptAs = (key) => `photo edits ${key}`;

function keepEdits(key, edits) {
  try {
    sessionStorage.setItem(keptAs(key), JSON.stringify(edits));
  } catch {
    say("The server does not answer, and this browser keeps nothing: this change is lost when the page is left.", true);
  }
}

function takeKept(key) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(keptAs(key)) ?? "[]");
    sessionStorage.removeItem(keptAs(key));
    return kept;
  } catch {
    return []; // a browser that lets nothing be kept
  }
}

function sendKept() {
  const { key } = album;
  queue = queue.then(() => sendAll(key, takeKept(key)));
}

function forget(name) {
  unsent.delete(name);
  clearTimeout(timers.get(`crop ${name}`)?.timer);
  timers.delete(`crop ${name}`);
}

// --- sending photos -------------------------------------------------------------------------------------------------

function wish() {
  try {
    return JSON.parse(document.querySelector("#train_choice textarea, #train_choice input").value).embedding ?? "";
  } catch {
    return "";
  }
}

async function send(files) {
  files = files.filter((file) => !file.name.startsWith("."));
  if (!files.length || sending) return;
  sending = true;
  root.classList.add("sending");
  const refused = [];
  let kept = 0;
  try {
    files.sort((a, b) => a.name.endsWith(".txt") - b.name.endsWith(".txt") || a.name.localeCompare(b.name));
    const folder = album.sent || (await ask("sent", JSON.stringify({ wish: wish() }), { "Content-Type": "application/json" })).folder;
    for (const [index, file] of files.entries()) {
      if (file.size > root.dataset.maxBytes) {
        refused.push(`“${file.name}” is larger than ${root.dataset.maxBytes / 1e6} MB: it is left out.`);
        continue;
      }
      say(`Sending photo ${index + 1} of ${files.length} · ${file.name}`);
      try {
        await ask(`sent/${encodeURIComponent(folder)}?name=${encodeURIComponent(file.name)}`, file, { "Content-Type": "application/octet-stream" });
        kept++;
      } catch (error) {
        if (error instanceof TypeError) throw error;
        refused.push(error.message);
      }
    }
    if (kept) trigger("select", { index: 0, value: folder });
    say(refused.length ? [`${kept} of ${files.length} files kept.`, ...refused].join(" ") : "", true);
  } catch (error) {
    const why = error instanceof TypeError ? "The server does not answer." : error.message;
    say(`${why} ${kept} of ${files.length} files were kept: drop the same ones again to go on.`, true);
  } finally {
    sending = false;
    root.classList.remove("sending");
  }
}

async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  for (const entry of entries) {
    const inside = entry.isDirectory ? await all(entry.createReader()) : [entry];
    for (const file of inside) if (file.isFile) found.push(await new Promise((yes, no) => file.file(yes, no)));
  }
  return found;
}

async function all(reader) {
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no)); // gives a hundred at a time
    if (!some.length) return found;
    found.push(...some);
  }
}

const isFiles = (event) => event.dataTransfer?.types.includes("Files");
root.addEventListener("dragover", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  root.classList.add("over");
});
root.addEventListener("dragleave", (event) => root.contains(event.relatedTarget) || root.classList.remove("over"));
root.addEventListener("drop", async (event) => {
  root.classList.remove("over");
  if (!isFiles(event)) return;
  event.preventDefault();
  send(await filesOf(event.dataTransfer));
});

watch("value", () => show(JSON.parse(JSON.stringify(props.value ?? null))));
root.classList.add("empty");
editor.hidden = true;
show(JSON.parse(JSON.stringify(props.value || null)));
