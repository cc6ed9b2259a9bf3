CREATE DATABASE IF NOT EXISTS keystone CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci;
CREATE DATABASE IF NOT EXISTS heat CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci;
CREATE USER IF NOT EXISTS 'keystone'@'%' IDENTIFIED BY '$keystone_db_password';
CREATE USER IF NOT EXISTS 'heat'@'%' IDENTIFIED BY '$heat_db_password';
GRANT ALL ON keystone.* TO 'keystone'@'%';
GRANT ALL ON heat.* TO 'heat'@'%';
FLUSH PRIVILEGES;
