/* 3K: mass, first moment of x, first moment of y; 4K with the maximum behind them. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const float mass = npuface_value(output, k), first_x = npuface_value(output, NPUFACE_POINTS + k);
    const float first_y = npuface_value(output, 2 * NPUFACE_POINTS + k);
#ifdef NPUFACE_HAS_MAXIMUM
    const float height = npuface_value(output, 3 * NPUFACE_POINTS + k);
#else
    const float height = -1;
#endif
    *confidence = npuface_confidence(mass, height);
    return npuface_where_seen(mass > 0, npuface_cell_x(first_x, mass), npuface_cell_y(first_y, mass), 0);
}
