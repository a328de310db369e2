// A picture of a sheet, large, beside the others of its column: the same prompt and seed, row by row.
() => {
  const dialog = document.createElement("dialog");
  dialog.id = "compare_large";
  dialog.setAttribute("aria-label", "Pictures side by side");
  document.body.append(dialog);

  function figure(row, column, clicked) {
    const button = row.querySelector(`[data-large="${column}"]`);
    if (!button) return null;
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = button.querySelector("img").src;
    image.alt = button.title;
    const caption = document.createElement("figcaption");
    caption.textContent = row.dataset.label;
    figure.append(image, caption);
    figure.className = [button === clicked ? "clicked" : "", row.classList.contains("best") ? "best" : ""].join(" ");
    return figure;
  }

  function open(clicked) {
    const column = clicked.dataset.large;
    const rows = [...clicked.closest("table").querySelectorAll("tbody tr")];
    const title = document.createElement("p");
    const head = clicked.closest("table").querySelectorAll("thead th")[column];
    title.textContent = [...(head?.childNodes ?? [])].map((node) => node.textContent).join(" · ");
    const strip = document.createElement("div");
    strip.tabIndex = 0;
    strip.style.setProperty("--count", rows.length);
    strip.append(...rows.map((row) => figure(row, column, clicked)).filter(Boolean));
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    const line = document.createElement("header");
    line.append(title, close);
    dialog.replaceChildren(line, strip);
    dialog.showModal();
    strip.querySelector(".clicked")?.scrollIntoView({ inline: "center", block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dialog.open) dialog.close();
  }, true);

  document.addEventListener("click", (event) => {
    const clicked = event.target.closest?.("[data-large]");
    if (clicked) open(clicked);
    else if (event.target === dialog) dialog.close(); // beside the pictures
  });
};
