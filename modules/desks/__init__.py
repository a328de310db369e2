"""What a front end may ask for, a noun each; the App makes one of each and hands them what they share.

settings       what the user chose: changed, imported, written down
checkpoints    files that may be models                       models     the one in use, and how another takes its place
embeddings     the folder of embeddings, as the model in use reads it          export   one of them for elsewhere
drawing        forms turned into runs: styles, VAEs, upscalers           script_bench   what scripts ask of the App
memory         of work that is over, given back
photos         photos looked at, decided about, written       training   runs begun, watched, compared, put into use

Any thread may ask; what returns `Work` is run by the worker thread alone. No desk loads torch before work is run.
"""
