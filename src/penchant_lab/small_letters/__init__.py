"""What small letters cost: a German chat with capitals and without"""
