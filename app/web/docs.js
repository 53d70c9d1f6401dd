// Swagger UI: shows the REST API's reference, and sends the document to no outside validator.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
