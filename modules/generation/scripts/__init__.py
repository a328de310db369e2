"""Scripts: one form becomes many runs, and a sheet of their pictures.

values   what is typed for an axis, read as A1111 reads it     axes    what an axis may change
plot     the X/Y/Z plot                                        matrix  every combination of parts of a prompt
lines    prompts from a file or text box                       sheet   pictures with labels beside them
cells    one run of many, and how they are drawn one after the other
script   from a form to the plan that draws it
"""
