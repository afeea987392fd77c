"""Image files, read in one way for training, evaluation, embedding and the check of a data set.

picture   one file: upright, its grey values brought into a window, as 8 bits
window    which grey values of images of more than 8 bits are black and white
survey    what the files of a split are, by their headers
remarks   what Pillow has to say, kept from the terminal
places    where what is derived from a data set is stored
"""
