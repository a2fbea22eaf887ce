"""The questions: which batch size, where fusion helps, where overlap helps."""
