// The Train tab: which of its steps is open, and doors to steps. The open step and tab outlive a reload of the page.
() => {
  const STEP = "trainStep";

  function kept(key) {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null; // a browser that lets nothing be kept
    }
  }

  function keep(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      // as above: the next reload begins at the first step
    }
  }

  function mark() {
    for (const door of document.querySelectorAll("#train_steps_row [data-open-step]")) {
      const isOpen = door.dataset.openStep === document.body.dataset[STEP];
      if (isOpen !== (door.getAttribute("aria-current") === "step")) {
        if (isOpen) door.setAttribute("aria-current", "step");
        else door.removeAttribute("aria-current");
      }
    }
  }

  function open(step) {
    document.body.dataset[STEP] = step;
    keep(STEP, step);
    mark();
  }

  function onClick(event) {
    const door = event.target.closest?.("[data-open-step]");
    if (door) {
      open(door.dataset.openStep);
      const train = document.getElementById("tab_train-button");
      if (train && !door.closest("#tab_train")) {
        train.click();
        keep("tab", train.id);
      }
      if (!door.closest("#train_steps_row")) document.getElementById("train_top")?.scrollIntoView();
    }
    const tab = event.isTrusted && event.target.closest?.("#tabs > .tab-wrapper [role=tab]");
    if (tab) keep("tab", tab.id);
  }

  document.addEventListener("click", onClick);
  new MutationObserver(mark).observe(document.getElementById("tabs") ?? document.body, { childList: true, subtree: true });
  open(kept(STEP) ?? "create");
  const tab = kept("tab");
  if (tab) document.getElementById(tab)?.click();
};
