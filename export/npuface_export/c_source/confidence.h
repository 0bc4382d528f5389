/* How high a map's peak is, and how much its mass is that of one peak of that height; 0..1. A negative height: no
   maximum leaves the network, so the ideal peak has height 1. Without an ideal mass: not a number. */
static inline float npuface_confidence(float mass, float height)
{
#ifdef NPUFACE_IDEAL_MASS
    float ratio, level = 1;
    if (mass <= 0) return 0;
#ifdef NPUFACE_HAS_MAXIMUM
    if (height <= 0) return 0;
    level = fminf(height, 1);
    ratio = mass / (NPUFACE_IDEAL_MASS * powf(height, NPUFACE_MASS_POWER));
#else
    (void)height;
    ratio = mass / NPUFACE_IDEAL_MASS;
#endif
    return level * fminf(ratio, 1 / ratio);
#else
    (void)height;
    return mass > 0 ? NAN : 0;
#endif
}
