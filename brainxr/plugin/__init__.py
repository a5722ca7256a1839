"""What napari finds of brainxr: reader, samples, writers, commands, and a widget."""
