"""The server: personal answers behind the APIs that clients already speak"""
