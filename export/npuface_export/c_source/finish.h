/* The network's output -> K points in pixels of the network input (x right, y down, pixel centres at integers) and
   their confidence in 0..1; not a number where the decode has none. */
static inline void npuface_finish(const npuface_output *output, npuface_point *points, float *confidence)
{
    int k;
    for (k = 0; k < NPUFACE_POINTS; k++) {
        points[k] = npuface_decode(output, k, confidence + k);
        points[k].x = points[k].x * NPUFACE_CELL_SCALE_X + NPUFACE_CELL_OFFSET_X;
        points[k].y = points[k].y * NPUFACE_CELL_SCALE_Y + NPUFACE_CELL_OFFSET_Y;
    }
}

/* A square region of a frame, in its pixels; its side becomes the shorter side of the network input. */
typedef struct { float x, y, side; } npuface_crop;

/* The region to cut out for a tight box around a face's landmarks. */
static inline npuface_crop npuface_crop_of_box(float x0, float y0, float x1, float y1)
{
    const float side = fmaxf(fmaxf(x1 - x0, y1 - y0), 1);
    npuface_crop crop = {(x0 + x1) / 2, (y0 + y1) / 2, side * NPUFACE_MARGIN};
    return crop;
}

/* A point of the network input -> that point in the frame. */
static inline npuface_point npuface_to_frame(npuface_crop crop, npuface_point point)
{
    const float shorter = NPUFACE_INPUT_WIDTH < NPUFACE_INPUT_HEIGHT ? NPUFACE_INPUT_WIDTH : NPUFACE_INPUT_HEIGHT;
    npuface_point there;
    there.x = crop.x + (point.x - (NPUFACE_INPUT_WIDTH - 1) / 2.0f) * crop.side / shorter;
    there.y = crop.y + (point.y - (NPUFACE_INPUT_HEIGHT - 1) / 2.0f) * crop.side / shorter;
    return there;
}
