/* 2K coordinates in cells, all x before all y. There is no confidence. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    npuface_point point = {npuface_value(output, k), npuface_value(output, NPUFACE_POINTS + k)};
    *confidence = NAN;
    return point;
}
