/* K heatmaps, then K x-offsets and K y-offsets: the highest cell plus the offsets that stand there. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const long cells = (long)NPUFACE_MAP_WIDTH * NPUFACE_MAP_HEIGHT, first = k * cells;
    const long plane = NPUFACE_POINTS * cells;
    float peak = npuface_value(output, first), x, y;
    long best = 0, i;
    for (i = 1; i < cells; i++) {
        const float value = npuface_value(output, first + i);
        if (value > peak) peak = value, best = i;
    }
    x = (float)(best % NPUFACE_MAP_WIDTH) + npuface_value(output, plane + first + best);
    y = (float)(best / NPUFACE_MAP_WIDTH) + npuface_value(output, 2 * plane + first + best);
    *confidence = fminf(fmaxf(peak, 0), 1);
    return npuface_where_seen(peak > 0, x, y, 1);
}
