"""The studio for personal embeddings, in layers; imports only point up this list.

0  plain data, standard library only
     errors        every error a user may meet        files      durable writes, safe names
     paths         where things lie                   flags      command line of the server
     settings      what the user chose once           params     what one picture is made from
     settings_file  config.json
     events        what long work reports             training_params  what one training run is made from
     model_state   what is told of the model in use   logs       the log file
     filewords     the words of a picture             preprocess_params   how photos are prepared
     a1111_flags   theirs that have no effect here
     styles        prompts kept under a name          script_params   what a script makes of one form
     pickled_modules  old PyTorch files made plain
1  prompts/        text in, structure out: no torch
   tensorfile      .safetensors / .ckpt / .pt read safely
   infotext        parameters written into a picture; knows how prompts are read
   image_formats   a picture as the bytes of a file, its parameters inside
   odd_pictures    kinds of pictures that Pillow reads wrong or not at all
2  images          pictures opened, gridded          image_saving   under names that nobody has taken
   embeddings/     one file's format; a folder of them
   samplers/       denoise x at sigma; knows no Stable Diffusion
3  model/          checkpoints found, judged and loaded; text encoded
   history/        every picture made, indexed and found again
4  generation/     txt2img: an iterator of events
   remake/         from a picture's infotext to fields that draw it again, and what differs
5  training/      photos in, vectors out                 preprocess/  photos made ready
6  job             one piece of long work on record           jobs       the thread that runs them, one at a time
   app             the App                                    guard      who may talk to the server
   library         pictures that were made, and how they are made again
   desks/          settings, models, embeddings, drawing, photos, training: what the App is made of
7  ui/  api/  cli  front ends: the only gradio
8  server          page and interface behind one guard

Importing any of these does nothing: no hardware probed, no argument read, no folder made.
"""
