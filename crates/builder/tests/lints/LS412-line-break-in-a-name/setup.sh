printf x > "app/$(printf 'a\nb')"
