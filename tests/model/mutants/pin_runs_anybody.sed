# file: sched/pin.c
# scene: pinned_among_others
# A reserved M runs what it finds.
/^bool pin_fits_slow(/,/^}/ s/: !m_is_reserved(m);/: true;/
