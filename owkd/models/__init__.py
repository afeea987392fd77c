CHAMPION = "student.safetensors"
"""the model's file in the folder of a champion; here, where no torch is imported"""
