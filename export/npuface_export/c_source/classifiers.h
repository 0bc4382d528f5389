/* The mean cell of one axis under softmax(beta l), and the highest probability. */
static inline float npuface_axis(const npuface_output *output, long first, int cells, float *surest)
{
    float highest = npuface_value(output, first), mass = 0, moment = 0;
    int i;
    for (i = 1; i < cells; i++) highest = fmaxf(highest, npuface_value(output, first + i));
    for (i = 0; i < cells; i++) {
        const float weight = expf(NPUFACE_BETA * (npuface_value(output, first + i) - highest));
        mass += weight;
        moment += weight * i;
    }
    *surest = 1 / mass;
    return moment / mass;
}

/* K times W + H logits: the classifier of the columns, then that of the rows. */
static inline npuface_point npuface_decode(const npuface_output *output, int k, float *confidence)
{
    const long first = (long)k * (NPUFACE_MAP_WIDTH + NPUFACE_MAP_HEIGHT);
    float surest_x, surest_y;
    npuface_point point;
    point.x = npuface_axis(output, first, NPUFACE_MAP_WIDTH, &surest_x);
    point.y = npuface_axis(output, first + NPUFACE_MAP_WIDTH, NPUFACE_MAP_HEIGHT, &surest_y);
    *confidence = fminf(surest_x, surest_y);
    return point;
}
