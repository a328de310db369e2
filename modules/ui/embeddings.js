// A click on an embedding puts its name at the end of the prompt that was written in last, or takes it out again.
() => {
  const PROMPTS = "#txt2img_prompt textarea, #txt2img_neg_prompt textarea";
  let last = null;

  // Where a name stands as a word of its own: [start, end], or null.
  function find(text, name) {
    const part = /[\p{L}\p{N}_-]/u;
    for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
      const end = at + name.length;
      if (!part.test(text[at - 1] ?? " ") && !part.test(text[end] ?? " ")) return [at, end];
    }
    return null;
  }

  // As typing would: Gradio sees it, and the browser's undo takes it back.
  function replace(box, start, end, text) {
    box.focus();
    box.setSelectionRange(start, end);
    const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!done) {
      box.setRangeText(text, start, end, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  function toggle(name) {
    const box = last?.isConnected ? last : document.querySelector(PROMPTS);
    const found = find(box.value, name);
    if (found) {
      const before = box.value.slice(0, found[0]).match(/,?\s*$/)[0].length;
      const after = before ? 0 : box.value.slice(found[1]).match(/^,?\s*/)[0].length;
      replace(box, found[0] - before, found[1] + after, "");
    } else {
      const text = box.value.trimEnd();
      const between = !text ? "" : text.endsWith(",") ? " " : ", ";
      replace(box, text.length, box.value.length, between + name);
    }
  }

  document.addEventListener("focusin", event => {
    if (event.target.matches?.(PROMPTS)) last = event.target;
  });
  document.addEventListener("click", event => {
    const card = event.target.closest?.("[data-embedding]");
    if (card) toggle(card.dataset.embedding);
  });
};
