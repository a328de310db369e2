"""Photos made ready for training: judged, cut to size, captioned. Originals are only ever read.

folder    what lies in a folder, in which order      captions  texts beside pictures, edited in a table
photos    what is good and bad about each photo      blip      a model that describes pictures
report    … and about the set as a whole             crop      which part of a photo, at which size
measures  sharpness, exposure, likeness in numbers   focal     the part that matters most, by corners, detail, faces
run       a folder of photos in, a folder to train on out
album     what was decided about a folder of photos     albums   all of them, kept in files (album_file)
copies    small copies of photos for looking            uploads  photos that are sent
describing  captions by BLIP for photos not written yet  blip_download  BLIP fetched when somebody asks for it
"""
