mkdir -p vendor/lib
