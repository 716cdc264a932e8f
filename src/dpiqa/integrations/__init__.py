"""Scores inside other tools: each module is for one of them, over the public [`dpiqa.Scorer`]."""
