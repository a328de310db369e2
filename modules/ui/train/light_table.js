// The light table of step ②: photos sent, looked at, cropped by hand and captioned. It shows what the server tells of an
// album and sends back each decision; nothing is kept here that could be lost. This file, light_table_crop.js and
// light_table_server.js, in this order, are the body of a Gradio component's js_on_load: it knows `element`, `trigger`,
// `props` and `watch`.
const ROUTES = "internal/photos/";
const MAX_ZOOM = 16;
const STEP = 0.01; // of the photo, per arrow key; five times that with Shift
const ZOOM_STEP = 1.1;
const PATIENCE = 400; // milliseconds without a change before it is sent
const SIGNS = { good: "good", look: "look", unusable: "unusable" };

const root = element.querySelector(".photos_table");
let album = { key: "", revision: -1, target: [1, 1], photos: [], can_undo: false, sent: "" };
let selected = "";
let sending = false;
let queue = Promise.resolve(); // decisions reach the server in their order
const unsent = new Map(); // photo name → its crop, until the server knows it
const timers = new Map();
const tiles = new Map();
const rows = new Map();

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function button(text, onclick, attributes = {}) {
  return make("button", { type: "button", onclick, ...attributes }, text);
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const photo = () => album.photos.find(({ name }) => name === selected);
const address = (stamp, kind) => `${ROUTES}${album.key}/${stamp}-${kind}.jpg`;

// --- what stands on the table ---------------------------------------------------------------------------------------

const input = make("input", {
  type: "file",
  multiple: true,
  accept: "image/*,.heic,.heif,.hif,.avif,.txt",
  class: "unseen",
  onchange: (event) => {
    send([...event.target.files]);
    event.target.value = "";
  },
});
const drop = make(
  "label",
  { class: "drop" },
  input,
  make("b", { class: "first" }, "Drop photos here, or choose them"),
  make("b", { class: "more" }, "+ Add photos"),
  make("span", { class: "quiet" }, "JPEG, PNG, WebP, AVIF, HEIC; twenty of one person are a good start. They stay on this machine."),
);
const message = make("p", { class: "message", role: "status" });
const sheet = make("div", { class: "sheet", role: "listbox", "aria-label": "Photos", onkeydown: onSheetKey });
const title = make("h3", {});
const facts = make("p", { class: "quiet facts" });
const remarks = make("ul", { class: "remarks" });
const image = make("img", { alt: "", draggable: "false" });
const frame = make("div", { class: "crop" });
const stage = make(
  "div",
  { class: "stage", tabindex: "0", role: "group", onkeydown: onStageKey, onwheel: onWheel },
  image,
  frame,
);
const zoom = make("input", { type: "range", min: "0", max: "100", step: "0.5", "aria-label": "Zoom", oninput: onSlider });
const size = make("span", { class: "quiet size" });
const reset = button("Back to the proposal", () => decide({ photo: selected, crop: null }), { class: "plain reset" });
const leave = button("Leave out", () => decide({ photo: selected, left_out: !photo().left_out }), { class: "plain" });
const caption = make("textarea", { rows: "2", id: "photo_caption", placeholder: "What else is to be seen, apart from the person" });
const editor = make(
  "section",
  { class: "editor", "aria-label": "The selected photo" },
  make("div", { class: "head" }, title, button("‹", () => step(-1), { class: "plain", "aria-label": "Previous photo", title: "Previous photo" }), button("›", () => step(1), { class: "plain", "aria-label": "Next photo", title: "Next photo" })),
  make("div", { class: "stage_box" }, stage),
  make("div", { class: "tools" }, make("label", {}, make("span", {}, "Zoom"), zoom), size, reset, leave),
  facts,
  remarks,
  make("label", { class: "caption" }, make("span", {}, "Caption"), caption),
);
const search = make("input", { type: "text", "aria-label": "Search for", placeholder: "search" });
const replacement = make("input", { type: "text", "aria-label": "Replace by", placeholder: "replace by" });
const word = make("input", { type: "text", "aria-label": "Word", placeholder: "word or phrase" });
const origin = make(
  "select",
  { "aria-label": "Take all captions from" },
  make("option", { value: "names" }, "file names"),
  make("option", { value: "texts" }, "texts beside the photos"),
  make("option", { value: "nothing" }, "nothing: all empty"),
);
const undo = button("Undo", () => decide({ undo: true }), { class: "plain" });
const list = make("ol", { class: "rows", "aria-label": "Captions" });
const counted = make("summary", {}, "Captions");
const captions = make(
  "details",
  { class: "captions" },
  counted,
  make(
    "div",
    { class: "tools" },
    make("span", { class: "group" }, search, replacement, button("Replace in all", () => decide({ replace: search.value, by: replacement.value }), { class: "plain" })),
    make("span", { class: "group" }, word, button("Add to all", () => decide({ add: word.value, at_end: true }), { class: "plain" }), button("Remove from all", () => decide({ remove: word.value }), { class: "plain" })),
    make("span", { class: "group" }, origin, button("Take all from there", () => decide({ take: origin.value }), { class: "plain" })),
    undo,
  ),
  list,
);
const sheetBox = make("div", { class: "sheet_box" }, drop, sheet);
root.append(message, make("div", { class: "work" }, sheetBox, editor), captions);
listenForText(caption, () => selected);

// --- showing --------------------------------------------------------------------------------------------------------

// The largest part of the target's ratio, divided by the zoom, as shares of the photo: [left, top, width, height].
function box([width, height], [x, y, zoomed]) {
  const ratio = (album.target[0] / album.target[1]) * (height / width);
  const w = Math.min(1, ratio) / zoomed;
  const h = Math.min(1, 1 / ratio) / zoomed;
  return [clamp(x - w / 2, 0, 1 - w), clamp(y - h / 2, 0, 1 - h), w, h];
}

function place(node, shares) {
  ["left", "top", "width", "height"].forEach((side, i) => (node.style[side] = `${100 * shares[i]}%`));
}

const cropOf = (shown) => unsent.get(shown.name) ?? shown.crop;

function show(next) {
  if (!next || (next.key === album.key && next.revision < album.revision)) return;
  if (next.key !== album.key) {
    tiles.clear();
    rows.clear();
    sheet.replaceChildren();
    list.replaceChildren();
    unsent.clear();
  }
  const isAnother = next.key !== album.key;
  album = next;
  if (isAnother) sendKept();
  root.classList.toggle("empty", !album.photos.length);
  if (!photo()) selected = album.photos[0]?.name ?? "";
  refresh(sheet, tiles, makeTile, showTile);
  refresh(list, rows, makeRow, showRow);
  undo.disabled = !album.can_undo;
  const used = album.photos.filter((shown) => !shown.left_out);
  put(counted, `Captions: ${used.filter((shown) => shown.caption).length} of ${used.length}`);
  showEditor();
}

// One node for each photo, in order; a node stays as long as its photo does, so that nothing flickers or loses focus.
function refresh(parent, nodes, makeNode, showNode) {
  const names = new Set(album.photos.map(({ name }) => name));
  for (const [name, node] of nodes) {
    if (!names.has(name)) {
      node.remove();
      nodes.delete(name);
    }
  }
  album.photos.forEach((shown, index) => {
    if (!nodes.has(shown.name)) nodes.set(shown.name, makeNode(shown));
    const node = nodes.get(shown.name);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
    showNode(node, shown);
  });
}

function showImage(img, shown, kind) {
  const source = shown.stamp ? address(shown.stamp, kind) : "";
  if (img.getAttribute("src") !== source) source ? img.setAttribute("src", source) : img.removeAttribute("src");
  img.hidden = !source;
}

function makeTile(shown) {
  const picture = make("span", { class: "picture" }, make("img", { alt: "", loading: "lazy", draggable: "false" }), make("i", { class: "crop" }));
  return make(
    "div",
    { class: "tile", role: "option", onclick: () => select(shown.name), title: "" },
    make("span", { class: "cell" }, picture, make("span", { class: "none quiet" }, "no picture")),
    make("span", { class: "label" }, make("i", { class: "dot", "aria-hidden": "true" }), make("span", {}, shown.name)),
  );
}

function showTile(tile, shown) {
  const picture = tile.querySelector(".picture");
  showImage(picture.firstChild, shown, "thumbnail");
  picture.style.setProperty("--ratio", shown.stamp ? shown.size[0] / shown.size[1] : 1);
  place(picture.lastChild, box(shown.stamp ? shown.size : [1, 1], cropOf(shown)));
  picture.lastChild.hidden = !shown.usable;
  picture.hidden = !shown.stamp;
  picture.nextSibling.hidden = Boolean(shown.stamp);
  tile.dataset.verdict = shown.verdict;
  tile.classList.toggle("left_out", shown.left_out);
  tile.classList.toggle("moved", shown.moved);
  const said = [shown.left_out ? "left out" : SIGNS[shown.verdict], ...shown.remarks].join(". ");
  tile.title = `${shown.name}: ${said}`;
  tile.setAttribute("aria-label", tile.title);
  tile.setAttribute("aria-selected", shown.name === selected);
  tile.tabIndex = shown.name === selected ? 0 : -1;
}

function makeRow(shown) {
  const text = make("textarea", { rows: "2", "aria-label": `Caption of ${shown.name}` });
  listenForText(text, () => shown.name);
  const look = button("", () => select(shown.name), { class: "look", "aria-label": `Show ${shown.name}` });
  look.append(make("img", { alt: "", loading: "lazy" }));
  return make("li", {}, look, make("span", { class: "name" }, shown.name), text);
}

function showRow(row, shown) {
  showImage(row.querySelector("img"), shown, "thumbnail");
  showText(row.querySelector("textarea"), shown.caption);
  row.hidden = shown.left_out;
}

// A box that is being typed into is left alone: what is typed is newer than what the server says.
function showText(box, text) {
  if (document.activeElement !== box && !timers.has(box) && box.value !== text) box.value = text;
}

function showEditor() {
  const shown = photo();
  editor.hidden = !shown;
  if (!shown) return;
  put(title, shown.name);
  const known = shown.stamp ? [`${shown.size[0]}×${shown.size[1]} pixels`] : [];
  if (shown.usable) known.push(shown.framing === "unclear" ? "framing unclear" : shown.framing);
  if (shown.left_out) known.push("left out");
  put(facts, known.join(" · "));
  const said = shown.remarks.length ? shown.remarks : ["Good as it is."];
  remarks.replaceChildren(...said.map((text) => make("li", {}, text)));
  remarks.dataset.verdict = shown.verdict;
  showImage(image, shown, "view");
  image.alt = shown.name;
  stage.style.setProperty("--ratio", shown.stamp ? shown.size[0] / shown.size[1] : 1);
  stage.setAttribute("aria-label", `Crop of ${shown.name}: arrow keys move it, plus and minus zoom, Home goes back`);
  put(leave, shown.left_out ? "Use it" : "Leave out");
  leave.disabled = !shown.usable;
  showText(caption, shown.caption);
  showCrop();
}

function showCrop() {
  const shown = photo();
  const [x, y, zoomed] = cropOf(shown);
  const shares = box(shown.stamp ? shown.size : [1, 1], [x, y, zoomed]);
  place(frame, shares);
  frame.hidden = !shown.usable;
  zoom.disabled = !shown.usable;
  zoom.value = (100 * Math.log(zoomed)) / Math.log(MAX_ZOOM);
  zoom.setAttribute("aria-valuetext", `${zoomed.toFixed(1)} times`);
  reset.disabled = !shown.moved && !unsent.has(shown.name);
  const part = Math.round(shares[2] * shown.size[0]);
  const enlarged = album.target[0] / Math.max(1, shares[2] * shown.size[0]);
  put(size, !shown.usable ? "" : enlarged > 1.05 ? `${part} pixels wide: enlarged ${enlarged.toFixed(1)} times` : `${zoomed.toFixed(1)}×`);
  size.classList.toggle("warn", enlarged > 1.05);
  const tile = tiles.get(shown.name);
  if (tile && shown.stamp) place(tile.querySelector(".crop"), shares);
}

// --- choosing a photo -----------------------------------------------------------------------------------------------

function select(name, focus = false) {
  flush(caption);
  selected = name;
  for (const shown of album.photos) showTile(tiles.get(shown.name), shown);
  if (focus) tiles.get(name)?.focus();
  tiles.get(name)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  showEditor();
}

function step(by) {
  const index = album.photos.findIndex(({ name }) => name === selected) + by;
  if (album.photos[index]) select(album.photos[index].name);
}

function onSheetKey(event) {
  const across = Math.max(1, getComputedStyle(sheetBox).gridTemplateColumns.split(" ").length);
  const index = album.photos.findIndex(({ name }) => name === selected);
  const ways = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -index, End: album.photos.length - 1 - index };
  if (event.key in ways) {
    const next = album.photos[clamp(index + ways[event.key], 0, album.photos.length - 1)];
    if (next) select(next.name, true);
  } else if (event.key === "Enter") stage.focus();
  else if (event.key === "Delete" && photo()?.usable) decide({ photo: selected, left_out: !photo().left_out });
  else return;
  event.preventDefault();
}
