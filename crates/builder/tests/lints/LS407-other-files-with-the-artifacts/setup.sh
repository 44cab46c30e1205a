mkdir dist; echo x > dist/app.js
