/* The mean cell of a mass and its first moment, on the exact INT8 grid of each axis. */
static inline float npuface_cell_x(float first, float mass)
{
    return (127 * first / mass - NPUFACE_OFFSET_X) / NPUFACE_STEP_X;
}

static inline float npuface_cell_y(float first, float mass)
{
    return (127 * first / mass - NPUFACE_OFFSET_Y) / NPUFACE_STEP_Y;
}
