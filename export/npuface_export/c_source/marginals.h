/* The mean cell of one axis within the window around its highest sum. Negative sums count as none. */
static inline float npuface_axis(const npuface_output *output, long first, int cells, float *inside, float *total)
{
    float highest = -1, moment = 0;
    int best = 0, i;
    for (i = 0; i < cells; i++) {
        const float sum = fmaxf(npuface_value(output, first + i), 0);
        if (sum > highest) highest = sum, best = i;
    }
    *inside = *total = 0;
    for (i = 0; i < cells; i++) {
        const float sum = fmaxf(npuface_value(output, first + i), 0);
        *total += sum;
        if (abs(i - best) <= NPUFACE_WINDOW) *inside += sum, moment += sum * i;
    }
    return *inside > 0 ? moment / *inside : 0;
}

/* K times W + H: the sums of the weights over rows, then over columns. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const long first = (long)k * (NPUFACE_MAP_WIDTH + NPUFACE_MAP_HEIGHT);
    float inside_x, inside_y, total_x, total_y, inside;
    const float x = npuface_axis(output, first, NPUFACE_MAP_WIDTH, &inside_x, &total_x);
    const float y = npuface_axis(output, first + NPUFACE_MAP_WIDTH, NPUFACE_MAP_HEIGHT, &inside_y, &total_y);
    inside = fminf(inside_x, inside_y);
    *confidence = inside > 0 ? inside / fmaxf(total_x, total_y) * npuface_confidence(inside, -1) : 0;
    return npuface_where_seen(inside > 0, x, y, 0);
}
