mkdir shared; echo x > shared/x; ln -s ../shared/x app/x
