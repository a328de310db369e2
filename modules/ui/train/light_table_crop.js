// Second part of the light table: the crop moved and zoomed by mouse, wheel, fingers and keys.

function move(x, y, zoomed) {
  const shown = photo();
  if (!shown?.usable) return;
  zoomed = clamp(zoomed, 1, MAX_ZOOM);
  const [left, top, width, height] = box(shown.size, [x, y, zoomed]);
  unsent.set(shown.name, [clamp(left + width / 2, 0, 1), clamp(top + height / 2, 0, 1), zoomed]);
  showCrop();
  const { name } = shown;
  later(`crop ${name}`, () => unsent.has(name) && decide({ photo: name, crop: unsent.get(name) }));
}

function onStageKey(event) {
  const shown = photo();
  if (!shown?.usable || event.ctrlKey || event.metaKey || event.altKey) return;
  const [x, y, zoomed] = cropOf(shown);
  const by = event.shiftKey ? 5 * STEP : STEP;
  const keys = {
    ArrowLeft: () => move(x - by, y, zoomed),
    ArrowRight: () => move(x + by, y, zoomed),
    ArrowUp: () => move(x, y - by, zoomed),
    ArrowDown: () => move(x, y + by, zoomed),
    "+": () => move(x, y, zoomed * ZOOM_STEP),
    "=": () => move(x, y, zoomed * ZOOM_STEP),
    "-": () => move(x, y, zoomed / ZOOM_STEP),
    Home: () => decide({ photo: selected, crop: null }),
    PageDown: () => step(1),
    PageUp: () => step(-1),
  };
  if (!keys[event.key]) return;
  keys[event.key]();
  event.preventDefault();
}

function onWheel(event) {
  if (document.activeElement !== stage || !photo()?.usable) return; // else the wheel scrolls the page, as everywhere
  event.preventDefault();
  const [x, y, zoomed] = cropOf(photo());
  move(x, y, zoomed * ZOOM_STEP ** (-Math.sign(event.deltaY) || 0));
}

function onSlider() {
  const [x, y] = cropOf(photo());
  move(x, y, MAX_ZOOM ** (zoom.value / 100));
}

const fingers = new Map();
let grip = null; // where one finger, or the middle and distance of two, was taken hold of

function take() {
  const [first, second] = [...fingers.values()];
  const crop = cropOf(photo());
  if (!first) return null;
  if (!second) return { x: first.x, y: first.y, apart: 0, crop };
  return { x: (first.x + second.x) / 2, y: (first.y + second.y) / 2, apart: Math.hypot(first.x - second.x, first.y - second.y), crop };
}

stage.addEventListener("pointerdown", (event) => {
  if (!photo()?.usable || event.button > 0) return;
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  grip = take();
  event.preventDefault();
});
stage.addEventListener("pointermove", (event) => {
  if (!fingers.has(event.pointerId) || !grip || !photo()) return;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const now = take();
  const area = stage.getBoundingClientRect();
  const [x, y, zoomed] = grip.crop;
  const spread = grip.apart && now.apart ? now.apart / grip.apart : 1;
  move(x + (now.x - grip.x) / area.width, y + (now.y - grip.y) / area.height, zoomed / spread);
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, (event) => {
    fingers.delete(event.pointerId);
    grip = photo() ? take() : null;
    if (!fingers.size) flush(`crop ${selected}`);
  });
}
