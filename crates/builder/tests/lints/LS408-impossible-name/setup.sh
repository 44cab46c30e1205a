printf x > "app/$(printf 'a\377b')"
