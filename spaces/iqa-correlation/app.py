"""The Space: a page that computes the metric from pasted or uploaded numbers."""

import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("iqa-correlation.py"))
