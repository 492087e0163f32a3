"""Measuring methods: tasks, measures, published rivals, ablation, speed, reports."""
