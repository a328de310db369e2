"""The Train tab: five steps in one row, of which any can be opened at any time.

tab        the tab: its row of steps, its header, and what it asks of each step
choice     what travels between steps: which embedding, which photos, which run
header     “realbenny-t2 · 2 vectors · SD1 · 24 photos”
looking    who asks the server what has changed: the open step
unfinished the banner above all tabs: runs that were cut short
create     ① Create embedding          photos     ② Preprocess images          train   ③ Train
compare    ④ Compare                   use        ⑤ Use

A step is a file with two functions. `make_step()` builds the controls inside the column that is open and returns them
as a frozen dataclass; `wire(step, context)` connects them and is called once, when all steps are built. What a step
may use stands in `TrainContext`:

- `context.page.owner` is the browser session; jobs are submitted with it.
- `context.choice` is a text box that nobody sees and that holds a `Choice` as JSON; a step that follows listens to its
  `change`. The browser keeps it and alone writes it: a step that changes what is worked on returns `choice.change(…)`
  for `context.change`, or has a control write its field (`choice.taken_from`).
- `context.look.click` comes when the step is opened and once a second while it is open; see `looking`. A run or a
  survey belongs to the server: each look at the App sends what has changed, so that a reload, a second tab and a phone
  show the same. What a click began and another step waits for is marked by `looking.under_way`.
- A door to another step is any element with `data-open-step="compare"`; a door to another tab is
  `gr.Tabs(selected="txt2img")` for `context.page.tabs`.
"""
