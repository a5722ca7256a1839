"""Datasets that brainxr knows, so that their source travels with every selection."""

from __future__ import annotations

EDLOW_100UM = {
    "title": "7 Tesla MRI of the ex vivo human brain at 100 micron resolution",
    "citation": (
        "Edlow, B. L. et al. 7 Tesla MRI of the ex vivo human brain at 100 micron resolution. "
        "Scientific Data 6, 244 (2019). doi:10.1038/s41597-019-0254-8"
    ),
    "license": "CC0",
}

# Has to go with every copy of the template, so it is written beside the slices.
MNI152_NOTICE = """\
ICBM 152 nonlinear symmetric template, 2009a, T1-weighted, without skull, from the file
mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz that nilearn distributes.

Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University. Permission to use, copy, modify, and distribute this software and
its documentation for any purpose and without fee is hereby granted, provided that the above
copyright notice appear in all copies. The authors and McGill University make no representations
about the suitability of this software for any purpose. It is provided "as is" without express or
implied warranty. The authors are not responsible for any data loss, equipment damage, property
loss, or injury to subjects or patients resulting from the use or misuse of this software package.

Fonov, V. S. et al. Unbiased average age-appropriate atlases for pediatric studies.
NeuroImage 54(1), 313-327 (2011). doi:10.1016/j.neuroimage.2010.07.033
Fonov, V. S. et al. Unbiased nonlinear average age-appropriate brain templates from birth to
adulthood. NeuroImage 47(Supplement 1), S102 (2009). doi:10.1016/S1053-8119(09)70884-5
"""

MNI152 = {
    "title": "ICBM 152 nonlinear symmetric template, 2009a, T1-weighted, without skull",
    "citation": (
        "Fonov, V. S. et al. Unbiased average age-appropriate atlases for pediatric studies. "
        "NeuroImage 54(1), 313-327 (2011). doi:10.1016/j.neuroimage.2010.07.033"
    ),
    "license": (
        "Free for any purpose where this notice appears in all copies: Copyright (C) 1993-2004 "
        "Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill "
        "University"
    ),
}

# Long enough names not to be met by chance: "mni152" alone is the space of countless images.
_BY_NAME = {
    "synthesized_flash25": EDLOW_100UM,
    "mni_icbm152_t1_tal_nlin_sym_09a": MNI152,
}


def citation_for(*names: str) -> dict[str, str]:
    """Title, citation and licence of a dataset that is known by the names of its files.

    >>> citation_for("Synthesized_FLASH25_Axial_0371.tiff")["license"]
    'CC0'
    """
    for part, citation in _BY_NAME.items():
        if any(part in name.lower() for name in names):
            return citation
    return {}
