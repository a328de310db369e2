// Pictures that come back: a file dropped on a prompt, and arrow keys among the tiles of the history.
() => {
  const PROMPTS = "#txt2img_prompt, #txt2img_neg_prompt";
  const FILE = "#txt2img_dropped input[type=file]";

  // --- a picture or text file dropped on a prompt -------------------------------------------------------------------

  function carriesFile(event) {
    return [...(event.dataTransfer?.types ?? [])].includes("Files");
  }

  function promptUnder(event) {
    return event.target.closest?.(PROMPTS);
  }

  function onDragOver(event) {
    const prompt = carriesFile(event) && promptUnder(event);
    for (const box of document.querySelectorAll(PROMPTS)) box.classList.toggle("drop_here", box === prompt);
    if (prompt) event.preventDefault();
  }

  function onDrop(event) {
    for (const box of document.querySelectorAll(PROMPTS)) box.classList.remove("drop_here");
    const file = event.dataTransfer?.files?.[0];
    const input = document.querySelector(FILE);
    if (!file || !input || !promptUnder(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const carried = new DataTransfer();
    carried.items.add(file);
    input.files = carried.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // --- arrow keys among the tiles -----------------------------------------------------------------------------------

  function onKey(event) {
    const tile = event.target.closest?.("#history_grid .tile");
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const tiles = [...document.querySelectorAll("#history_grid .tile")];
    const columns = tiles.filter((other) => other.offsetTop === tiles[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = step && tiles[tiles.indexOf(tile) + step];
    if (next) {
      next.focus();
      next.click();
      event.preventDefault();
    } else if (event.key === "Delete") {
      document.getElementById("history_delete")?.click();
      event.preventDefault();
    }
  }

  document.addEventListener("dragover", onDragOver, true);
  document.addEventListener("dragleave", (event) => event.relatedTarget || onDragOver(event), true);
  document.addEventListener("drop", onDrop, true);
  document.addEventListener("keydown", onKey, true);
};
