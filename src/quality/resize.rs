//! MATLAB's `imresize` with its bicubic kernel, antialiased when shrinking, to the bit.
