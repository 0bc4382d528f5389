/* K heatmaps: the centre of mass of relu(h - t max h); the confidence is the maximum. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const long cells = (long)NPUFACE_MAP_WIDTH * NPUFACE_MAP_HEIGHT, first = k * cells;
    float peak = npuface_value(output, first), mass = 0, x = 0, y = 0;
    long i;
    for (i = 1; i < cells; i++) peak = fmaxf(peak, npuface_value(output, first + i));
    for (i = 0; i < cells; i++) {
        const float weight = fmaxf(npuface_value(output, first + i) - NPUFACE_THRESHOLD * peak, 0);
        mass += weight;
        x += weight * (float)(i % NPUFACE_MAP_WIDTH);
        y += weight * (float)(i / NPUFACE_MAP_WIDTH);
    }
    *confidence = fminf(fmaxf(peak, 0), 1);
    return npuface_where_seen(peak > 0 && mass > 0, x / mass, y / mass, 0);
}
