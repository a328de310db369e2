// What the page does by itself, without asking the server: keys, tooltips, copying, the queue's door, and waiting for a
// server that has stopped. One function, called when the page has been built.
() => {
  const PROMPTS = "#txt2img_prompt textarea, #txt2img_neg_prompt textarea";
  const WORD_ENDS = ".,\\/!?%^*;:{}=`~() \t\r\n[]|<>";
  const WEIGHT_STEP = 0.1;
  const TAG_STEP = 0.05;
  const PING_EVERY = 2500;

  // --- text in a prompt -------------------------------------------------------------------------------------------

  // Replaces part of a text box as typing would: Gradio sees it, and the browser's undo takes it back.
  function replaceRange(box, start, end, text) {
    box.focus();
    box.setSelectionRange(start, end);
    const typed = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!typed) {
      box.setRangeText(text, start, end, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  // The innermost <…>, (…) or […] around the cursor, without its weight. Square brackets that alternate or edit are no
  // weight: turning them into one would lose what they mean.
  function blockAround(text, cursor) {
    for (const [open, close] of ["<>", "()", "[]"]) {
      const start = text.lastIndexOf(open, cursor - 1);
      const end = text.indexOf(close, cursor);
      if (cursor === 0 || start < 0 || end < 0) continue;
      const inner = text.slice(start + 1, end);
      if (inner.includes(open) || inner.includes(close)) continue;
      if (open === "[" && /[|:]/.test(inner)) continue;
      return [start + 1, start + 1 + inner.replace(/:\s*[+-]?[\d.]+\s*$/, "").length];
    }
    return null;
  }

  function wordAround(text, cursor) {
    let start = cursor;
    let end = cursor;
    while (start > 0 && !WORD_ENDS.includes(text[start - 1])) start--;
    while (end < text.length && !WORD_ENDS.includes(text[end])) end++;
    return [start, end];
  }

  // How many plain brackets of one kind stand directly around the selection.
  function depthAround(text, start, end, open, close) {
    let depth = 0;
    while (text[start - 1 - depth] === open && text[end + depth] === close) depth++;
    return depth;
  }

  function written(weight) {
    const rounded = Number(weight.toPrecision(12));
    return Number.isInteger(rounded) ? rounded.toFixed(1) : String(rounded);
  }

  // What Ctrl+Up and Ctrl+Down make of a selection: the range to replace, the new text, the new selection in it.
  function reweighted(text, start, end, direction) {
    if (start === end) [start, end] = blockAround(text, start) ?? wordAround(text, start);
    while (end > start && /\s/.test(text[end - 1])) end--;
    if (start >= end) return null;
    const chosen = text.slice(start, end);
    const tail = /^:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*([)>])/.exec(text.slice(end));
    const opener = text[start - 1];
    if (opener === "<") {
      if (tail?.[2] !== ">") return null;
      const weight = written(Number(tail[1]) + direction * TAG_STEP);
      return { from: start, to: end + tail[0].length, text: `${chosen}:${weight}>`, select: [0, chosen.length] };
    }
    let from = start;
    let to = end;
    let weight = 1;
    const round = depthAround(text, start, end, "(", ")");
    const square = depthAround(text, start, end, "[", "]");
    if (round || (square && !/[|:]/.test(chosen))) {
      const exact = round ? 1.1 ** round : (1 / 1.1) ** square;
      weight = Math.round(exact / WEIGHT_STEP) * WEIGHT_STEP;
      from -= round || square;
      to += round || square;
    } else if (opener === "(" && tail?.[2] === ")") {
      weight = Number(tail[1]);
      from -= 1;
      to += tail[0].length;
    }
    const result = written(weight + direction * WEIGHT_STEP);
    if (Number(result) === 1) return { from, to, text: chosen, select: [0, chosen.length] };
    return { from, to, text: `(${chosen}:${result})`, select: [1, 1 + chosen.length] };
  }

  // Pieces between commas that stand in no bracket: [start, end] without the blanks around them.
  function pieces(text) {
    const found = [];
    let depth = 0;
    let start = 0;
    for (let i = 0; i <= text.length; i++) {
      if (text[i] === "\\") i++;
      else if ("([{<".includes(text[i] ?? " ")) depth++;
      else if (")]}>".includes(text[i] ?? " ")) depth = Math.max(0, depth - 1);
      if (i >= text.length || (text[i] === "," && depth === 0)) {
        const piece = text.slice(start, i);
        const from = start + piece.length - piece.trimStart().length;
        found.push([from, Math.max(from, start + piece.trimEnd().length)]);
        start = i + 1;
      }
    }
    return found;
  }

  // What Alt+Left and Alt+Right make of a selection: the pieces it touches change places with their neighbour.
  function moved(text, start, end, direction) {
    const all = pieces(text);
    const touched = all.filter(([from, to]) => from <= end && to >= start);
    if (!touched.length) return null;
    const first = all.indexOf(touched[0]);
    const last = all.indexOf(touched.at(-1));
    const neighbour = all[direction < 0 ? first - 1 : last + 1];
    if (!neighbour) return null;
    const block = [all[first][0], all[last][1]];
    const [left, right] = direction < 0 ? [neighbour, block] : [block, neighbour];
    const between = text.slice(left[1], right[0]);
    const result = text.slice(...right) + between + text.slice(...left);
    const offset = direction < 0 ? 0 : result.length - (block[1] - block[0]);
    return { from: left[0], to: right[1], text: result, select: [start - block[0] + offset, end - block[0] + offset] };
  }

  function apply(box, change) {
    if (!change) return;
    replaceRange(box, change.from, change.to, change.text);
    box.setSelectionRange(change.from + change.select[0], change.from + change.select[1]);
  }

  // --- keys -------------------------------------------------------------------------------------------------------

  function press(id) {
    const button = document.getElementById(id);
    if (button && !button.disabled) button.click();
  }

  function openQueue(open) {
    document.body.dataset.queue = open ? "open" : "";
    tellQueue();
  }

  // The server writes the button anew whenever what it says changes.
  function tellQueue() {
    const isOpen = document.body.dataset.queue === "open";
    document.querySelector("#job_line button")?.setAttribute("aria-expanded", isOpen);
  }

  // Whether Escape closes something already: a list that is open, a large picture, the gallery.
  function closes(element) {
    const open = "[role=listbox], [role=combobox][aria-expanded=true], #txt2img_gallery";
    return document.fullscreenElement || document.querySelector("dialog[open]") || element.closest?.(open);
  }

  function onKey(event) {
    if (event.isComposing) return;
    const command = event.ctrlKey || event.metaKey;
    const box = event.target.matches?.(PROMPTS) ? event.target : null;
    if (event.key === "Enter" && command) press("txt2img_generate");
    else if (event.key === "Enter" && event.altKey) press("txt2img_skip");
    else if (event.key === "Escape") {
      if (document.body.dataset.queue === "open") openQueue(false);
      else if (closes(event.target)) return;
      else press("txt2img_interrupt");
    } else if (box && command && /^Arrow(Up|Down)$/.test(event.key)) {
      apply(box, reweighted(box.value, box.selectionStart, box.selectionEnd, event.key === "ArrowUp" ? 1 : -1));
    } else if (box && event.altKey && !command && /^Arrow(Left|Right)$/.test(event.key)) {
      apply(box, moved(box.value, box.selectionStart, box.selectionEnd, event.key === "ArrowLeft" ? -1 : 1));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- clicks -----------------------------------------------------------------------------------------------------

  async function copy(button) {
    const source = button.parentElement.querySelector(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.innerText);
    } catch {
      const range = document.createRange(); // an address without https has no clipboard: select it, then copy by command
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  function onClick(event) {
    const button = event.target.closest?.("button");
    if (button?.dataset.copy) copy(button);
    if (button?.dataset.prompt) {
      const box = document.querySelector(PROMPTS);
      replaceRange(box, 0, box.value.length, button.dataset.prompt);
    }
    if (button?.dataset.toggle === "queue") openQueue(document.body.dataset.queue !== "open");
    else if (!event.target.closest?.("#queue_panel")) openQueue(false);
  }

  function nameIcons() {
    for (const button of document.querySelectorAll("button.icon")) button.title ||= button.textContent.trim();
  }

  // --- a server that has stopped ----------------------------------------------------------------------------------

  const banner = document.createElement("div");
  banner.id = "server_gone";
  banner.setAttribute("role", "alert");
  document.body.append(banner);

  async function ping() {
    let answered = true;
    try {
      await fetch("internal/ping", { cache: "no-store" });
    } catch {
      answered = false;
    }
    if (answered && banner.textContent) location.reload();
    else if (!answered) {
      banner.textContent =
        "The server has stopped; your work is saved. Start it again, and this page goes on by itself.";
    }
  }

  const theme = document.querySelector("meta[name=webui-theme]")?.content;
  if (theme) document.body.classList.toggle("dark", theme === "dark");
  document.addEventListener("keydown", onKey, true);
  document.addEventListener("click", onClick);
  nameIcons();
  const queueLine = document.getElementById("job_line");
  if (queueLine) new MutationObserver(tellQueue).observe(queueLine, { childList: true, subtree: true });
  tellQueue();
  setInterval(() => document.hidden || ping(), PING_EVERY);
};
