int k_msleep(int milliseconds);
