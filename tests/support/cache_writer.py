"""Fills a cache of feature maps in a process of its own; `spawn` has to import it by name."""

import multiprocessing

import torch

from dpiqa import DPIQAModel, TeacherTargets


def fill(checkpoint, processor, folder, rows, slow):
    torch.set_num_threads(1)
    targets = TeacherTargets(DPIQAModel.from_pretrained(checkpoint), processor, folder, dtype=torch.float32)
    if slow:
        compute = targets.compute
        targets.compute = lambda pixels: (multiprocessing.Event().wait(0.5), compute(pixels))[1]
    targets.fill(rows, batch_size=2)
