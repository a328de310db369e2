// The Train tab: which of its steps is open, doors to steps and tabs, and when a step asks the server what has changed.
// The open step and tab outlive a reload of the page.
() => {
  const STEP = "trainStep";
  const LOOK_EVERY = 1000;

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

  function isInFront() {
    return document.getElementById("tab_train-button")?.getAttribute("aria-selected") === "true";
  }

  // The open step looks, and what was begun by a click and is not over yet; nothing while the page is out of sight.
  function look() {
    if (document.hidden) return;
    const looking = new Set([...document.querySelectorAll("[data-look]")].map((element) => element.dataset.look));
    if (isInFront()) looking.add("tab").add(document.body.dataset[STEP]);
    for (const detail of looking) document.dispatchEvent(new CustomEvent("train-look", { detail }));
  }

  function open(step) {
    document.body.dataset[STEP] = step;
    keep(STEP, step);
    mark();
    look();
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
    const other = event.target.closest?.("[data-open-tab]");
    if (other) {
      const id = `${other.dataset.openTab}-button`;
      document.getElementById(id)?.click();
      keep("tab", id);
    }
    const tab = event.target.closest?.("#tabs > .tab-wrapper [role=tab]");
    if (tab && event.isTrusted) keep("tab", tab.id);
    if (tab) setTimeout(look); // by then it is in front
  }

  document.addEventListener("click", onClick);
  document.addEventListener("visibilitychange", look);
  setInterval(look, LOOK_EVERY);
  new MutationObserver(mark).observe(document.getElementById("tabs") ?? document.body, { childList: true, subtree: true });
  open(kept(STEP) ?? "create");
  const tab = kept("tab");
  if (tab) document.getElementById(tab)?.click();
};
