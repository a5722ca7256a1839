"""NIfTI and MGH: headers, affines and voxels."""
