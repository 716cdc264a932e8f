"""What a checkpoint on the Hub exports: configurations, networks, image processor and pipeline.

Flat and importing only from itself, so that transformers can copy the files beside a checkpoint's weights.
"""
