/* 7K: moments, sums of weight times x-offset and weight times y-offset in cells, maximum. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    float value[7], mass;
    npuface_point point;
    int i, seen;
    for (i = 0; i < 7; i++) value[i] = npuface_value(output, (long)i * NPUFACE_POINTS + k);
    mass = (value[0] + value[2]) / 2;
    seen = value[0] > 0 && value[2] > 0;
    *confidence = npuface_confidence(seen ? mass : 0, value[6]);
    point = npuface_where_seen(seen, npuface_cell_x(value[1], value[0]), npuface_cell_y(value[3], value[2]), 0);
    return npuface_where_seen(seen, point.x + value[4] / mass, point.y + value[5] / mass, 1);
}
