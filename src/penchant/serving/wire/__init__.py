"""The forms of other APIs: their requests as chat completions, and answers as their bodies and events"""
