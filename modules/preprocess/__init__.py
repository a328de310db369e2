"""Photos made ready for training: judged, cut to size, captioned. Originals are only ever read.

photos    what is good and bad about each photo     report    … and about the set as a whole
measures  sharpness, exposure, likeness in numbers  faces     where faces are, if opencv is installed
crop      which part of a photo, at which size      focal     the part that matters most
captions  texts beside pictures, edited in a table  blip      a model that describes pictures
run       a folder of photos in, a folder to train on out
"""
