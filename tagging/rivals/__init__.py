"""The rivals of order prompts, with the same encoders: classifiers, and words copied from similar videos.

Order-based generation needs no file: it is `order` of the tagger's configuration.
"""
