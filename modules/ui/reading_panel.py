"""“How this prompt is read”."""
from markupsafe import Markup
def read(app, prompt, steps): return len(app.tokenizer.encode(prompt))
def counter(n): return Markup('<span class="count">{}/{}</span>').format(n, 75)
def panel(n): return Markup("<p>{}</p>").format(n)
