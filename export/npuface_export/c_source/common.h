typedef struct { float x, y; } npuface_point;

/* A stored input value of the pixel value 0..255 of channel 0 (red), 1 (green) or 2 (blue). */
static inline npuface_input npuface_input_value(float value, int channel)
{
    static const float gain[3] = NPUFACE_INPUT_GAIN, shift[3] = NPUFACE_INPUT_SHIFT;
    float stored = value * gain[channel] + shift[channel];
#if NPUFACE_INPUT_IS_INTEGER
    stored = rintf(stored);
    if (stored < NPUFACE_INPUT_LOWEST) stored = NPUFACE_INPUT_LOWEST;
    if (stored > NPUFACE_INPUT_HIGHEST) stored = NPUFACE_INPUT_HIGHEST;
#endif
    return (npuface_input)stored;
}

/* The real value number i of the network's output, counted channels first. */
static inline float npuface_value(const npuface_output *output, long i)
{
    const long cells = NPUFACE_OUTPUT_CELLS, channel = i / cells, cell = i % cells;
    const long stored = NPUFACE_OUTPUT_IS_NHWC ? cell * NPUFACE_OUTPUT_CHANNELS + channel : i;
    return ((float)output[stored] - NPUFACE_OUTPUT_ZERO_POINT) * NPUFACE_OUTPUT_SCALE;
}

/* Whether a point was seen: kept on the map, up to `beyond` cells outside, or else its middle. */
static inline npuface_point npuface_where_seen(int seen, float x, float y, float beyond)
{
    const float last_x = NPUFACE_MAP_WIDTH - 1, last_y = NPUFACE_MAP_HEIGHT - 1;
    npuface_point point = {last_x / 2, last_y / 2};
    if (seen) {
        point.x = fminf(fmaxf(x, -beyond), last_x + beyond);
        point.y = fminf(fmaxf(y, -beyond), last_y + beyond);
    }
    return point;
}
