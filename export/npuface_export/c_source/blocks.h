/* 6K: mass, first moments of the block in x and y, sums of the place inside the block, maximum. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    float value[6], x, y;
    int i;
    for (i = 0; i < 6; i++) value[i] = npuface_value(output, (long)i * NPUFACE_POINTS + k);
    x = NPUFACE_BLOCK_SIZE * npuface_cell_x(value[1], value[0]) + value[3] / value[0] + NPUFACE_FIRST_CENTRE_X;
    y = NPUFACE_BLOCK_SIZE * npuface_cell_y(value[2], value[0]) + value[4] / value[0] + NPUFACE_FIRST_CENTRE_Y;
    *confidence = npuface_confidence(value[0], value[5]);
    return npuface_where_seen(value[0] > 0, x, y, 0);
}
