/* 4K: mass and first moment by x, then by y; 5K with the maximum behind them. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const float mass_x = npuface_value(output, k), first_x = npuface_value(output, NPUFACE_POINTS + k);
    const float mass_y = npuface_value(output, 2 * NPUFACE_POINTS + k);
    const float first_y = npuface_value(output, 3 * NPUFACE_POINTS + k);
    const int seen = mass_x > 0 && mass_y > 0;
#ifdef NPUFACE_HAS_MAXIMUM
    const float height = npuface_value(output, 4 * NPUFACE_POINTS + k);
#else
    const float height = -1;
#endif
    *confidence = npuface_confidence(seen ? (mass_x + mass_y) / 2 : 0, height);
    return npuface_where_seen(seen, npuface_cell_x(first_x, mass_x), npuface_cell_y(first_y, mass_y), 0);
}
